"""What a job would take: tokens, steps, time, memory, price."""
