"""Style matching: effect and settings that give a dry recording the sound of a reference."""
