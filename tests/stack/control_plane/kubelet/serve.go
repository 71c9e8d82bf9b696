package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	consts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // what options of logs look like in an address
	utilexec "k8s.io/utils/exec"
)

// How long a stream of a command may be idle, and how long its client may take to open all streams.
const (
	idleTimeout     = 4 * time.Hour
	creationTimeout = 30 * time.Second
)

func (k *Kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.serveExec)
	return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		// Certificates are checked by now; there are others than that of the API server.
		certificates := request.TLS.PeerCertificates
		if len(certificates) == 0 || certificates[0].Subject.CommonName != k.options.ClientName {
			http.Error(out, "Forbidden", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(out, request)
	})
}

func (k *Kubelet) serveLogs(out http.ResponseWriter, request *http.Request) {
	options := &corev1.PodLogOptions{}
	if err := legacyscheme.ParameterCodec.DecodeParameters(
		request.URL.Query(), corev1.SchemeGroupVersion, options); err != nil {
		http.Error(out, `{"message": "Unable to decode query."}`, http.StatusBadRequest)
		return
	}
	name, containerName := request.PathValue("pod"), request.PathValue("container")
	_, found := k.find(request.PathValue("namespace"), name, containerName)
	if found == nil {
		http.Error(out, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
		return
	}
	book, err := found.book(options.Previous)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	flush := func() {
		if flusher, ok := out.(http.Flusher); ok {
			flusher.Flush()
		}
	}
	out.Header().Set("Transfer-Encoding", "chunked")
	if options.Follow {
		flush()
	}
	_ = book.write(request.Context(), out, options, flush)
}

func (k *Kubelet) serveExec(out http.ResponseWriter, request *http.Request) {
	options, err := streaming.NewOptions(request)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	containerName := request.PathValue("container")
	_, found := k.find(request.PathValue("namespace"), request.PathValue("pod"), containerName)
	if found == nil || !found.isRunning() {
		http.Error(out, fmt.Sprintf("container not found (%q)", containerName), http.StatusInternalServerError)
		return
	}
	streaming.ServeExec(out, request, executor{k.starter, found}, request.PathValue("pod"), "", containerName,
		request.URL.Query()["command"], options, idleTimeout, creationTimeout, consts.SupportedStreamingProtocols)
}

// executor runs commands as if inside of a container: beside it, with its variables and its directory.
type executor struct {
	starter *starter
	target  *container
}

// ExecInContainer runs one command to its end, or to that of the container. As with a real kubelet, it goes on when the
// client goes away.
func (e executor) ExecInContainer(
	_ context.Context, _ string, _ types.UID, _ string, argv []string, in io.Reader, out, errorStream io.WriteCloser, tty bool,
	_ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	ctx, finished, prototype := e.target.join()
	if prototype == nil {
		return errors.New("container is not running")
	}
	defer finished()
	command, err := build(argv, prototype.Env, prototype.Dir)
	if err != nil {
		return fmt.Errorf("failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: %w", err)
	}
	// Pipes of our own: Wait must not wait for a client that neither writes nor closes.
	if in != nil {
		stdin, err := command.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	if tty {
		errorStream = out
	}
	var reading sync.WaitGroup
	for _, stream := range []struct {
		pipe func() (io.ReadCloser, error)
		to   io.Writer
	}{{command.StdoutPipe, out}, {command.StderrPipe, errorStream}} {
		from, err := stream.pipe()
		if err != nil {
			return err
		}
		reading.Add(1)
		go func(to io.Writer) {
			defer reading.Done()
			if to == nil {
				to = io.Discard
			}
			_, _ = io.Copy(to, from)
			// Whoever writes on gets to know that nobody reads.
			_ = from.Close()
		}(stream.to)
	}
	if err := e.starter.start(command); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			killGroup(command.Process.Pid)
		case <-ended:
		}
	}()
	reading.Wait()
	err = command.Wait()
	close(ended)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exitCode(exit.ProcessState)}
	}
	return err
}
