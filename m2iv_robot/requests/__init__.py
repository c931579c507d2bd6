"""Requests for synthetic episodes: checked, queued, run in a process of their own, cancelled; without ROS."""
