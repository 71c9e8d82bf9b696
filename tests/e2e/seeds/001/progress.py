def execution_progress(info):
    """Handle execution progress updates."""
    emoji_map = {
        "info": "ℹ️",
        "success": "✅", 
        "error": "❌",
        "warning": "⚠️"
    }
    emoji = emoji_map.get(info.get("type", ""), "🔸")
    print(f"{emoji} {info.get('message', '')}")

result = await conda_worker.execute(
    session_id=session_id,
    script="import time; time.sleep(2); print('Done!')",
    progress_callback=execution_progress
)
