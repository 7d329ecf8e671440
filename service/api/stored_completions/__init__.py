"""What becomes of an answered chat: its tokens are counted, and it is stored if asked."""
