result = await conda_worker.execute_code(session_id, code)

if result.success:
    print("Code executed successfully!")
    print("Output:", result.stdout)
else:
    print("Execution failed!")
    print("Error:", result.error)
    print("Stderr:", result.stderr)

# Timing information (if available)
if result.timing:
    print(f"Execution time: {result.timing.execution_time:.2f}s")
