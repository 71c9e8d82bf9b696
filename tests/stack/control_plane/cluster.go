package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"control-plane/kubelet"
)

// kubeletDirectory is the part of the cluster's directory with what belongs to pods.
const kubeletDirectory = "kubelet"

// clusterOptions is what the program is told. All of it may be left out.
type clusterOptions struct {
	// APIServerArgs are further arguments of kube-apiserver; they come after its usual ones.
	APIServerArgs []string `json:"apiServerArgs"`
	// Nodes are those of the cluster; one of them when there are none, and none when the list is empty.
	Nodes []kubelet.Node `json:"nodes"`
	// Images is what images bring: a command, arguments, variables.
	Images map[string]kubelet.Image `json:"images"`
	// CrashBackOff is how long the second restart of a container waits (milliseconds). 0: as long as with a real kubelet.
	CrashBackOff int `json:"crashBackOff"`
}

// cluster is a running one.
type cluster struct {
	options   clusterOptions
	directory string
	authority *authority
	token     string
	etcd      *embed.Etcd
	etcdURL   string
	port      int
	server    *apiServer
	kubelet   *kubelet.Kubelet
}

// request is one line on standard input.
type request struct {
	ID     int      `json:"id"`
	Do     string   `json:"do"`
	User   string   `json:"user"`
	Groups []string `json:"groups"`
}

func say(message map[string]any) {
	line, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	// One write: lines of different answers do not mix.
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// runCluster runs a cluster until standard input ends.
func runCluster(text string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan request, 100)
	go readRequests(requests, cancel)
	// Whoever has read what is written here may have been killed, and that ends this process in good order, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	stopping := make(chan os.Signal, 1)
	signal.Notify(stopping, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		<-stopping
		cancel()
	}()

	directory, err := os.MkdirTemp("", "control-plane-")
	if err != nil {
		return err
	}
	c := &cluster{directory: directory}
	defer c.stop()
	if err := json.Unmarshal([]byte(text), &c.options); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	say(map[string]any{
		"event": "ready", "url": c.url(), "ca": string(c.authority.pem), "token": c.token, "directory": directory,
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case one := <-requests:
			answer, err := c.answer(ctx, one)
			if err != nil {
				say(map[string]any{"id": one.ID, "error": err.Error()})
			} else {
				say(map[string]any{"id": one.ID, "result": answer})
			}
		}
	}
}

func readRequests(requests chan<- request, end func()) {
	defer end()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one request
		if err := json.Unmarshal(lines.Bytes(), &one); err == nil {
			requests <- one
		}
	}
}

func (c *cluster) answer(ctx context.Context, one request) (any, error) {
	switch one.Do {
	case "stop-api-server":
		c.server.stop()
		return nil, nil
	case "start-api-server":
		c.server.stop()
		return nil, c.startAPIServer(ctx)
	case "compact":
		return compact(c.etcd)
	case "certificate":
		return c.authority.client(one.User, one.Groups...)
	case "memory":
		return map[string]int64{"cluster": memoryOf(os.Getpid()), "apiServer": memoryOf(c.server.pid())}, nil
	}
	return nil, fmt.Errorf("unknown request %q", one.Do)
}

func (c *cluster) url() string { return fmt.Sprintf("https://127.0.0.1:%d", c.port) }

func (c *cluster) file(name string) string { return filepath.Join(c.directory, name) }

func (c *cluster) start(ctx context.Context) error {
	if err := c.writeFiles(); err != nil {
		return err
	}
	var err error
	if c.etcd, c.etcdURL, err = startEtcd(c.directory); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	// The port may be taken by somebody else before the API server takes it.
	for attempt := 1; ; attempt++ {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.startAPIServer(ctx); err == nil {
			break
		}
		if attempt == 3 || !errors.Is(err, errPortTaken) {
			return err
		}
	}
	client, err := kubernetes.NewForConfig(clientConfig(c.apiServerOptions()))
	if err != nil {
		return err
	}
	if c.kubelet, err = c.startKubelet(ctx, client); err != nil {
		return fmt.Errorf("kubelet: %w", err)
	}
	return waitForAccount(ctx, client)
}

// waitForAccount waits until pods can be made in the first namespace.
func waitForAccount(ctx context.Context, client kubernetes.Interface) error {
	for {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err == nil || !apierrors.IsNotFound(err) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// writeFiles makes the keys of the cluster.
func (c *cluster) writeFiles() error {
	var err error
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	c.token = hex.EncodeToString(random)
	files := map[string][]byte{
		"ca.crt":     c.authority.pem,
		"tokens.csv": []byte(c.token + `,admin,admin,"system:masters"` + "\n"),
	}
	server, err := c.authority.server()
	if err != nil {
		return err
	}
	admin, err := c.authority.client("control-plane", "system:masters")
	if err != nil {
		return err
	}
	toKubelet, err := c.authority.client(kubeletClient)
	if err != nil {
		return err
	}
	for name, one := range map[string]pair{"server": server, "admin": admin, "kubelet-client": toKubelet} {
		files[name+".crt"], files[name+".key"] = []byte(one.Certificate), []byte(one.Key)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if files["accounts.key"], err = encodeKey(key); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	files["accounts.pub"] = encodePEM("PUBLIC KEY", public)
	return writeSecrets(c.directory, files)
}

func (c *cluster) startKubelet(ctx context.Context, client kubernetes.Interface) (*kubelet.Kubelet, error) {
	if c.options.Nodes == nil {
		c.options.Nodes = []kubelet.Node{{Name: "test-node", Capacity: map[string]string{"nvidia.com/gpu": "1"}}}
	}
	backOff := time.Duration(c.options.CrashBackOff) * time.Millisecond
	if backOff == 0 {
		backOff = 10 * time.Second
	}
	certificate, err := c.authority.server()
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair([]byte(certificate.Certificate), []byte(certificate.Key))
	if err != nil {
		return nil, err
	}
	known := x509.NewCertPool()
	known.AddCert(c.authority.certificate)
	address, err := url.Parse(c.url())
	if err != nil {
		return nil, err
	}
	api, err := net.ResolveTCPAddr("tcp", address.Host)
	if err != nil {
		return nil, err
	}
	return kubelet.Start(ctx, kubelet.Options{
		Client: client, APIServer: api, Directory: c.file(kubeletDirectory),
		Nodes: c.options.Nodes, Images: c.options.Images, CrashBackOff: backOff, ClientName: kubeletClient,
		TLS: &tls.Config{
			Certificates: []tls.Certificate{own}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert,
			// Commands are upgraded connections, of which the second version of HTTP has none.
			NextProtos: []string{"http/1.1"},
		},
	})
}

// stop ends everything and removes its files.
func (c *cluster) stop() {
	if c.kubelet != nil {
		c.kubelet.Stop()
	}
	c.server.stop()
	if c.etcd != nil {
		c.etcd.Close()
	}
	_ = os.RemoveAll(c.directory)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
