# Check environment details
code = """
import sys
import platform
import numpy as np

print(f"Python version: {sys.version}")
print(f"Platform: {platform.system()} {platform.release()}")
print(f"NumPy version: {np.__version__}")
print(f"Python executable: {sys.executable}")
"""

result = await conda_worker.execute_code(session_id, code)
print(result.stdout)
