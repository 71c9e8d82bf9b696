result = await conda_worker.execute_code(session_id, code)
if not result.success:
    print(f"Error: {result.error}")
    print(f"Stderr: {result.stderr}")
