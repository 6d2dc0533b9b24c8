"""Readers of portable programming interfaces, which list the devices of every maker."""
