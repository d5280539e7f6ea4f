"""What is asked of a recording, and how an answer is judged: labels, protocols, hand-made features; without torch."""
