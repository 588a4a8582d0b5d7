"""What the simulated country is: places, dealers, licenses, volumes, and the truth about them."""
