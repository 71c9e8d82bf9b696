"""Simple Python worker example."""
import asyncio
from hypha_rpc import connect_to_server

# Simple storage for demo (use proper storage in production)
sessions = {}

async def start(config):
    """Start a new worker session."""
    session_id = f"{config['workspace']}/{config['client_id']}"
    
    print(f"Starting session {session_id} for app {config['app_id']}")
    
    # Your custom session startup logic here
    session_data = {
        "session_id": session_id,
        "app_id": config["app_id"],
        "workspace": config["workspace"],
        "client_id": config["client_id"],
        "status": "running",
        "app_type": config.get("app_type", "unknown"),
        "created_at": "2024-01-01T00:00:00Z",
        "logs": [f"Session {session_id} started"],
        "metadata": config.get("metadata", {})
    }
    
    # Store session data
    sessions[session_id] = session_data
    
    return session_data

async def stop(session_id):
    """Stop a worker session."""
    print(f"Stopping session {session_id}")
    
    if session_id in sessions:
        sessions[session_id]["status"] = "stopped"
        sessions[session_id]["logs"].append(f"Session {session_id} stopped")
        print(f"Session {session_id} stopped")
    else:
        print(f"Session {session_id} not found")

async def list_sessions(workspace):
    """List all sessions for a workspace."""
    workspace_sessions = []
    for session_id, session_data in sessions.items():
        if session_data["workspace"] == workspace:
            workspace_sessions.append(session_data)
    return workspace_sessions

async def get_logs(session_id, log_type=None, offset=0, limit=None):
    """Get logs for a session."""
    if session_id not in sessions:
        raise Exception(f"Session {session_id} not found")
    
    logs = sessions[session_id]["logs"]
    
    # Apply offset and limit
    if limit:
        logs = logs[offset:offset+limit]
    else:
        logs = logs[offset:]
    
    if log_type:
        return logs
    else:
        return {"log": logs, "error": []}

async def get_session_info(session_id):
    """Get information about a session."""
    if session_id not in sessions:
        raise Exception(f"Session {session_id} not found")
    return sessions[session_id]

async def prepare_workspace(workspace):
    """Prepare workspace for worker operations."""
    print(f"Preparing workspace {workspace}")

async def close_workspace(workspace):
    """Close workspace and cleanup sessions."""
    print(f"Closing workspace {workspace}")
    
    # Stop all sessions for this workspace
    sessions_to_stop = [
        session_id for session_id, session_data in sessions.items()
        if session_data["workspace"] == workspace
    ]
    
    for session_id in sessions_to_stop:
        await stop(session_id)

# Register the worker
async def register_worker():
    """Register the worker as a service."""
    server = await connect_to_server({
        "server_url": "http://localhost:9527"
    })
    
    # Register the worker service
    service = await server.register_service({
        "name": "Simple Python Worker",
        "description": "A simple worker implemented with functions",
        "type": "server-app-worker",
        "config": {
            "visibility": "protected",
            "run_in_executor": True,
        },
        "supported_types": ["python-custom", "simple-task"],
        "start": start,
        "stop": stop,
        "list_sessions": list_sessions,
        "get_logs": get_logs,
        "get_session_info": get_session_info,
        "prepare_workspace": prepare_workspace,
        "close_workspace": close_workspace,
    })
    
    print(f"Python worker registered: {service.id}")
    return server

# Start the worker
if __name__ == "__main__":
    async def main():
        server = await register_worker()
        print("Python worker is running...")
        # Keep the connection alive
        await server.serve()
    
    asyncio.run(main())
