result = await conda_worker.execute(session_id, code)

if result["status"] == "ok":
    print("Code executed successfully!")
    # Extract outputs from the result
    for output in result.get("outputs", []):
        if output["type"] == "stream" and output["name"] == "stdout":
            print("Output:", output["text"])
else:
    print("Execution failed!")
    error = result.get("error", {})
    print("Error:", error.get("ename", "Unknown"))
    print("Error message:", error.get("evalue", ""))
    # Print traceback if available
    if "traceback" in error:
        print("Traceback:")
        for line in error["traceback"]:
            print(line)
