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

result = await conda_worker.execute_code(session_id, code)
print(result.stdout)
