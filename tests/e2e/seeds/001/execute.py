
session_info = await app_contrller.start("my-conda-worker")
conda_worker = await server.get_service(session_info["worker_id"])
# Direct worker execution
result = await conda_worker.execute(
    session_id="my-session",
    script="print('Hello World!')",
    config={
        "timeout": 30.0,    # Execution timeout in seconds
    },
    progress_callback=lambda info: print(f"📍 {info['message']}")
)
