# Test if packages are available and working
code = """
try:
    import requests
    response = requests.get('https://httpbin.org/json')
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

result = await conda_worker.execute_code(session_id, code)
print(result.stdout)
