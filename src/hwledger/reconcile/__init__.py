"""What was planned beside what was seen, term by term; pure: from plans and snapshots to a reconciliation."""
