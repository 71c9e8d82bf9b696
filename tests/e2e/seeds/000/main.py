# main.py
import numpy as np
import sys
import platform

print("=== Environment Info ===")
print(f"Python version: {sys.version_info.major}.{sys.version_info.minor}")
print(f"Platform: {platform.system()}")
print(f"NumPy version: {np.__version__}")

# Your initialization code here
print("Application initialized successfully!")
