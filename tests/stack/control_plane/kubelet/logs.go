package kubelet

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Longer lines are kept in parts, and the oldest lines go when there is more than a kubelet keeps before it rotates.
const (
	partBytes = 16 << 10
	keptBytes = 10 << 20
)

// logBook is what a container has written in one of its runs.
type logBook struct {
	mutex sync.Mutex
	// lines are those that are kept; dropped counts those before them.
	lines   []logLine
	dropped int
	bytes   int
	ended   bool
	changed chan struct{}
	readers sync.WaitGroup
}

type logLine struct {
	at   time.Time
	text []byte
}

func newLogBook() *logBook { return &logBook{changed: make(chan struct{})} }

// collect reads one stream to its end.
func (l *logBook) collect(stream io.ReadCloser) {
	l.readers.Add(1)
	go func() {
		defer l.readers.Done()
		defer stream.Close()
		reader := bufio.NewReaderSize(stream, partBytes)
		for {
			text, err := reader.ReadSlice('\n')
			if len(text) > 0 {
				l.add(text)
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
}

func (l *logBook) add(text []byte) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lines = append(l.lines, logLine{time.Now().UTC(), append([]byte(nil), text...)})
	l.bytes += len(text)
	for l.bytes > keptBytes {
		l.bytes -= len(l.lines[0].text)
		l.lines = l.lines[1:]
		l.dropped++
	}
	l.wake()
}

// end waits for the last line, and lets those go who follow.
func (l *logBook) end() {
	l.readers.Wait()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.ended = true
	l.wake()
}

func (l *logBook) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// tail is the end of the log, at most so many lines and bytes of it.
func (l *logBook) tail(lines, bytes int) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var text []byte
	for _, line := range l.lines[max(0, len(l.lines)-lines):] {
		text = append(text, line.text...)
	}
	return string(text[max(0, len(text)-bytes):])
}

// write sends what the options ask for, in the order in which it was written; it ends with the log, if it follows.
func (l *logBook) write(ctx context.Context, out io.Writer, options *corev1.PodLogOptions, flush func()) error {
	var since time.Time
	if options.SinceSeconds != nil {
		since = time.Now().Add(-time.Duration(*options.SinceSeconds) * time.Second)
	} else if options.SinceTime != nil {
		since = options.SinceTime.Time
	}
	left := int64(-1)
	if options.LimitBytes != nil {
		left = *options.LimitBytes
	}
	next := 0
	if options.TailLines != nil {
		next = l.firstOfLast(int(*options.TailLines))
	}
	for {
		lines, ended, changed := l.from(&next)
		for _, line := range lines {
			if line.at.Before(since) {
				continue
			}
			text := line.text
			if options.Timestamps {
				text = append([]byte(line.at.Format(time.RFC3339Nano)+" "), text...)
			}
			if left >= 0 && int64(len(text)) > left {
				text = text[:left]
			}
			if _, err := out.Write(text); err != nil {
				return err
			}
			if left >= 0 {
				if left -= int64(len(text)); left == 0 {
					return nil
				}
			}
		}
		if len(lines) > 0 {
			flush()
		}
		if !options.Follow || ended {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// from gives the lines from a number on, and moves it behind them.
func (l *logBook) from(next *int) (lines []logLine, ended bool, changed <-chan struct{}) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	lines = l.lines[min(len(l.lines), max(0, *next-l.dropped)):]
	*next = l.dropped + len(l.lines)
	return lines, l.ended, l.changed
}

// firstOfLast is the number of the first of the last so many whole lines.
func (l *logBook) firstOfLast(count int) int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	at := len(l.lines)
	for at > 0 {
		// A part belongs to the line that goes on after it.
		whole := at == len(l.lines) || l.lines[at-1].text[len(l.lines[at-1].text)-1] == '\n'
		if whole {
			if count == 0 {
				break
			}
			count--
		}
		at--
	}
	return l.dropped + at
}
