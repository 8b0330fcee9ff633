"""The protocol of cohorts: a user who works through many cases, and a network that learns from what they accepted."""
