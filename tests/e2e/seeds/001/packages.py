# Test if packages are available and working
code = """
try:
    import requests
    response = requests.get('https://httpbingo.org/json')
    print(f"Requests working: {response.status_code == 200}")
    print(f"Requests version: {requests.__version__}")
except ImportError as e:
    print(f"Requests not available: {e}")

try:
    import matplotlib.pyplot as plt
    print(f"Matplotlib available: {plt.__version__}")
except ImportError as e:
    print(f"Matplotlib not available: {e}")
"""

result = await conda_worker.execute(session_id, code)
if result["status"] == "ok":
    for output in result.get("outputs", []):
        if output["type"] == "stream" and output["name"] == "stdout":
            print(output["text"])
