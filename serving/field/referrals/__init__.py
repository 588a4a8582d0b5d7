"""Cases for agents: referrals, requests for named dealers, and who answers for what."""
