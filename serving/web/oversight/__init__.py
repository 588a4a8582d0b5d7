"""Pages about the program: model, measures, flows, staffing, referrals, audit."""
