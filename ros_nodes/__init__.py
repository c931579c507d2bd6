"""ROS 2 nodes: messages in, a call to the library, messages out."""
