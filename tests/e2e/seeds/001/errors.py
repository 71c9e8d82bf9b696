result = await conda_worker.execute(session_id, code)
if result["status"] == "error":
    error = result.get("error", {})
    print(f"Error: {error.get('ename', 'Unknown')}")
    print(f"Error message: {error.get('evalue', '')}")
    
    # Check stderr from outputs
    for output in result.get("outputs", []):
        if output["type"] == "stream" and output["name"] == "stderr":
            print(f"Stderr: {output['text']}")
