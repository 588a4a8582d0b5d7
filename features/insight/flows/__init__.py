"""Follow the guns: from dealers to where firearms turned up, as of a date.

The door is `follow.follow`. Words are those of the National Firearms Commerce and Trafficking
Assessment: source (where the dealer stands), market (where the firearm turned up),
intrastate, interstate, international. A link says that firearms went from one to the other, and no
more: **a link to an earlier seller or owner implies no wrong.**
"""
