"""How notices reach people: one module for each channel, each a thin sender of what others decided."""
