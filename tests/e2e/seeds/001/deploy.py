# Client code to use the conda worker
import asyncio
from hypha_rpc import connect_to_server

async def main():
    # Connect to Hypha server
    server = await connect_to_server({
        "server_url": "https://hypha.aicell.io",
        "workspace": "my-workspace",
        "token": "your-token-here"
    })
    
    # Get the conda worker service
    conda_worker = await server.get_service("my-conda-worker")
    
    # Start a session
    session_id = await conda_worker.start({
        "id": "my-session",
        "app_id": "my-conda-app",
        "workspace": "my-workspace",
        "manifest": {
            "type": "conda-jupyter-kernel",
            "dependencies": ["python=3.11", "numpy", "pandas"],
            "channels": ["conda-forge"],
            "entry_point": "main.py"
        },
        # ... other config fields
    })
    
    # Method 1: Execute code directly via conda worker
    code = """
import numpy as np
import pandas as pd

# Create some data
data = np.array([1, 2, 3, 4, 5])
df = pd.DataFrame({'values': data})

# Perform calculations
mean_val = df['values'].mean()
std_val = df['values'].std()
sum_val = df['values'].sum()

print(f"Mean: {mean_val}")
print(f"Standard deviation: {std_val}")
print(f"Sum: {sum_val}")
"""
    
    result = await conda_worker.execute(
        session_id=session_id,
        script=code,
        config={"timeout": 30.0}
    )
    
    if result["status"] == "ok":
        # Print all outputs from the execution
        for output in result.get("outputs", []):
            if output["type"] == "stream" and output["name"] == "stdout":
                print("Output:", output["text"])
    else:
        print("Error:", result.get("error", {}))
    
   
    # Stop the session
    await conda_worker.stop(session_id)

asyncio.run(main())
