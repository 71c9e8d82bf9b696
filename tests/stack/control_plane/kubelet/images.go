package kubelet

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/util/parsers"
)

// Images of this registry cannot be had, each in its own way; all others are there. See README.md.
const (
	pullError    = "test.invalid/pull-error:"
	pullForever  = "test.invalid/pull-forever:"
	private      = "test.invalid/private:"
	nothingThere = "test.invalid/nothing-there:"
)

// refused is a reason why a container waits, with whether it may be tried again.
type refused struct {
	reason, message string
	// then is what it waits for after that, when it is tried again and again.
	then, thenMessage string
}

// pull gets the image of a container: nothing, the reason why not, or the end of ctx.
func (c *container) pull(ctx context.Context, pod *corev1.Pod) (*refused, error) {
	name := c.spec.Image
	if _, _, _, err := parsers.ParseImageName(name); err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", name, err)
		return &refused{reason: "InvalidImageName", message: message}, nil
	}
	absent := ""
	switch {
	case strings.HasPrefix(name, pullError):
		absent = fmt.Sprintf("rpc error: code = NotFound desc = failed to pull and unpack image %q: "+
			"failed to resolve reference %q: %s: not found", name, name, name)
	case strings.HasPrefix(name, private) && !c.hasPullSecret(ctx, pod):
		absent = fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: "+
			"failed to authorize: failed to fetch anonymous token: 401 Unauthorized", name, name)
	case strings.HasPrefix(name, pullForever):
		absent = "still pulling"
	}
	if absent != "" && c.spec.ImagePullPolicy == corev1.PullNever {
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", name)
		return &refused{reason: "ErrImageNeverPull", message: message}, nil
	}
	if c.spec.ImagePullPolicy == corev1.PullAlways || absent != "" {
		c.event(corev1.EventTypeNormal, "Pulling", "Pulling image %q", name)
	}
	if strings.HasPrefix(name, pullForever) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if absent != "" {
		c.event(corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", name, absent)
		return &refused{
			reason: "ErrImagePull", message: absent,
			then: "ImagePullBackOff", thenMessage: fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", name, absent),
		}, nil
	}
	c.event(corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine", name)
	return nil, ctx.Err()
}

func (c *container) hasPullSecret(ctx context.Context, pod *corev1.Pod) bool {
	for _, reference := range pod.Spec.ImagePullSecrets {
		data, err := c.pod.secret(ctx, pod.Namespace, reference.Name)
		if err == nil && len(data[corev1.DockerConfigJsonKey]) > 0 {
			return true
		}
	}
	return false
}
