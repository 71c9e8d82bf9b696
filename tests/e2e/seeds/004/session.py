{
    "session_id": "workspace/client-id",
    "app_id": "my-app",
    "workspace": "my-workspace", 
    "client_id": "client-id",
    "status": "running",
    "app_type": "my-app-type",
    "created_at": "2024-01-01T00:00:00Z",
    "logs": ["Session started"],
    "metadata": {"key": "value"}
}
