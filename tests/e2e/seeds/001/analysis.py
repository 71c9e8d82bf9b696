# Execute code for data analysis
code = """
import numpy as np
import pandas as pd

# Create sample data
data = np.random.randn(100, 3)
df = pd.DataFrame(data, columns=['A', 'B', 'C'])

# Perform analysis
print(f"Dataset shape: {df.shape}")
print(f"Column A mean: {df['A'].mean():.3f}")
print(f"Column B std: {df['B'].std():.3f}")
print(df.head())
"""

result = await conda_worker.execute(session_id, code)
if result["status"] == "ok":
    for output in result.get("outputs", []):
        if output["type"] == "stream" and output["name"] == "stdout":
            print(output["text"])
