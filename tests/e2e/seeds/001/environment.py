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

result = await conda_worker.execute(session_id, code)
if result["status"] == "ok":
    for output in result.get("outputs", []):
        if output["type"] == "stream" and output["name"] == "stdout":
            print(output["text"])
