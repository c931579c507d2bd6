"""Networks: built from their config at any size, handed their parts ready-made."""
