{
    "client_id": "unique-client-id",
    "app_id": "my-app", 
    "workspace": "my-workspace",
    "server_url": "http://localhost:9527",
    "public_base_url": "http://localhost:9527",
    "local_base_url": "http://localhost:9527",
    "app_type": "my-app-type",
    "entry_point": "index.html",
    "metadata": {"key": "value"},
    "token": "auth-token",
    "version": "1.0.0"
}
