"""How good generated video is: functions of tensors."""
