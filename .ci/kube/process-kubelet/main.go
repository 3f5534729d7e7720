// process-kubelet runs each container of a Pod as a local process, and reports real exit codes, restarts and logs.
//
// For the tests only: there are no images, volumes or isolation, and of the probes only `readinessProbe.exec` is run. A
// container that ends is started again after a pause in which it waits as `CrashLoopBackOff`, as on a real node, but the
// pause is at most two seconds.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	coordv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	remotecommandconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	rc "k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// podIP is nobody's: the API refuses loopback addresses as endpoints, and every container is on the host's network anyway.
const podIP = "10.244.0.1"

var (
	node  = flag.String("node", "node-0", "node name")
	addr  = flag.String("listen", "127.0.0.1:10250", "kubelet API address")
	cert  = flag.String("cert", "", "")
	key   = flag.String("key", "", "")
	kcfg  = flag.String("kubeconfig", "", "")
	dir   = flag.String("dir", "", "work folder")
	sched = flag.Bool("schedule", false, "bind unassigned pods to this node; the real scheduler does without")
	cs    *kubernetes.Clientset
	mu    sync.Mutex
	pods  = map[types.UID]*pod{}
)

type ctr struct {
	st        v1.ContainerStatus
	cmd       *exec.Cmd
	done, bye bool
}
type pod struct {
	sync.Mutex
	o     *v1.Pod
	c     map[string]*ctr
	stop  chan struct{}
	phase v1.PodPhase
	start metav1.Time
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	flag.Parse()
	cfg, err := clientcmd.BuildConfigFromFlags("", *kcfg)
	must(err)
	cfg.QPS, cfg.Burst = 200, 400
	cs = kubernetes.NewForConfigOrDie(cfg)
	go func() { must(http.ListenAndServeTLS(*addr, *cert, *key, http.HandlerFunc(serve))) }()
	go heartbeat()
	watch := func(sel fields.Selector, f func(*v1.Pod), gone func(*v1.Pod)) {
		_, c := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: cache.NewListWatchFromClient(cs.CoreV1().RESTClient(), "pods", "", sel), ObjectType: &v1.Pod{},
			Handler: cache.ResourceEventHandlerFuncs{
				AddFunc: func(o any) { f(o.(*v1.Pod)) }, UpdateFunc: func(_, o any) { f(o.(*v1.Pod)) },
				DeleteFunc: func(o any) {
					if p, ok := o.(*v1.Pod); ok {
						gone(p)
					}
				}}})
		go c.Run(nil)
	}
	if *sched {
		watch(fields.OneTermEqualSelector("spec.nodeName", ""), func(p *v1.Pod) {
			if p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 {
				_ = cs.CoreV1().Pods(p.Namespace).Bind(context.TODO(), &v1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID}, Target: v1.ObjectReference{Kind: "Node", Name: *node}}, metav1.CreateOptions{})
			}
		}, func(*v1.Pod) {})
	}
	watch(fields.OneTermEqualSelector("spec.nodeName", *node), onPod, func(p *v1.Pod) { kill(p, 0) })
	select {}
}

func heartbeat() {
	_, port, _ := net.SplitHostPort(*addr)
	n, _ := strconv.Atoi(port)
	ctx := context.TODO()
	res := v1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("256Gi"), "pods": resource.MustParse("1000"), "ephemeral-storage": resource.MustParse("1Ti")}
	sec := int32(40)
	for {
		// Again each time: an API server that has just started may refuse it.
		_, _ = cs.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: *node, Labels: map[string]string{"kubernetes.io/hostname": *node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}}, metav1.CreateOptions{})
		if o, err := cs.CoreV1().Nodes().Get(ctx, *node, metav1.GetOptions{}); err == nil {
			now := metav1.Now()
			o.Status = v1.NodeStatus{Capacity: res, Allocatable: res, Addresses: []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "127.0.0.1"}, {Type: v1.NodeHostName, Address: *node}},
				DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: int32(n)}}, NodeInfo: v1.NodeSystemInfo{KubeletVersion: "v1.34.4-process", OperatingSystem: "linux", Architecture: "amd64"},
				Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "ProcessKubelet", LastHeartbeatTime: now, LastTransitionTime: o.CreationTimestamp}}}
			_, _ = cs.CoreV1().Nodes().UpdateStatus(ctx, o, metav1.UpdateOptions{})
		}
		t := metav1.NowMicro()
		l := &coordv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: *node}, Spec: coordv1.LeaseSpec{HolderIdentity: node, LeaseDurationSeconds: &sec, RenewTime: &t}}
		if _, err := cs.CoordinationV1().Leases("kube-node-lease").Create(ctx, l, metav1.CreateOptions{}); err != nil {
			if c, e := cs.CoordinationV1().Leases("kube-node-lease").Get(ctx, *node, metav1.GetOptions{}); e == nil {
				c.Spec = l.Spec
				_, _ = cs.CoordinationV1().Leases("kube-node-lease").Update(ctx, c, metav1.UpdateOptions{})
			}
		}
		time.Sleep(2 * time.Second)
	}
}

func onPod(o *v1.Pod) {
	mu.Lock()
	p := pods[o.UID]
	if p == nil && o.DeletionTimestamp == nil && o.Status.Phase == v1.PodPending {
		p = &pod{o: o, c: map[string]*ctr{}, stop: make(chan struct{}), phase: v1.PodPending, start: metav1.Now()}
		pods[o.UID] = p
		go p.run()
	}
	mu.Unlock()
	if o.DeletionTimestamp != nil {
		g := int64(30)
		if o.DeletionGracePeriodSeconds != nil {
			g = *o.DeletionGracePeriodSeconds
		}
		go kill(o, time.Duration(g)*time.Second)
	}
}

func kill(o *v1.Pod, grace time.Duration) {
	mu.Lock()
	p := pods[o.UID]
	delete(pods, o.UID)
	mu.Unlock()
	if p != nil {
		close(p.stop)
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			p.Lock()
			n := 0
			for _, c := range p.c {
				if c.cmd != nil && !c.done {
					_ = syscall.Kill(-c.cmd.Process.Pid, s)
					n++
				}
			}
			p.Unlock()
			if n == 0 {
				break
			}
			for end := time.Now().Add(grace); s == syscall.SIGTERM && time.Now().Before(end) && !p.idle(); {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	z := int64(0)
	_ = cs.CoreV1().Pods(o.Namespace).Delete(context.TODO(), o.Name, metav1.DeleteOptions{GracePeriodSeconds: &z, Preconditions: &metav1.Preconditions{UID: &o.UID}})
}

func (p *pod) idle() bool {
	p.Lock()
	defer p.Unlock()
	for _, c := range p.c {
		if c.cmd != nil && !c.done {
			return false
		}
	}
	return true
}

func (p *pod) env(c *v1.Container) []string {
	e := append(os.Environ(), "HOSTNAME="+p.o.Name, "POD_DIR="+p.dir())
	for _, x := range c.Env {
		val := x.Value
		if x.ValueFrom != nil && x.ValueFrom.FieldRef != nil {
			val = map[string]string{"metadata.name": p.o.Name, "metadata.namespace": p.o.Namespace, "metadata.uid": string(p.o.UID), "spec.nodeName": *node, "status.podIP": "127.0.0.1", "spec.serviceAccountName": p.o.Spec.ServiceAccountName}[x.ValueFrom.FieldRef.FieldPath]
		} else if x.ValueFrom != nil && x.ValueFrom.SecretKeyRef != nil {
			if s, err := cs.CoreV1().Secrets(p.o.Namespace).Get(context.TODO(), x.ValueFrom.SecretKeyRef.Name, metav1.GetOptions{}); err == nil {
				val = string(s.Data[x.ValueFrom.SecretKeyRef.Key])
			}
		} else if x.ValueFrom != nil && x.ValueFrom.ConfigMapKeyRef != nil {
			if s, err := cs.CoreV1().ConfigMaps(p.o.Namespace).Get(context.TODO(), x.ValueFrom.ConfigMapKeyRef.Name, metav1.GetOptions{}); err == nil {
				val = s.Data[x.ValueFrom.ConfigMapKeyRef.Key]
			}
		}
		e = append(e, x.Name+"="+val)
	}
	return e
}
func (p *pod) dir() string { return filepath.Join(*dir, string(p.o.UID)) }

// once runs a container to its end and returns its exit code.
func (p *pod) once(c *v1.Container) int {
	args := append(append([]string{}, c.Command...), c.Args...)
	if len(c.Command) == 0 && len(args) == 0 {
		args = []string{"sleep", "infinity"}
	}
	f := filepath.Join(p.dir(), c.Name+".log")
	_ = os.Rename(f, f+".prev")
	out, err := os.Create(f)
	must(err)
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = p.env(c), p.dir(), &syscall.SysProcAttr{Setpgid: true}
	if c.WorkingDir != "" {
		cmd.Dir = c.WorkingDir
	}
	r, w, _ := os.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	p.Lock()
	k := p.c[c.Name]
	err = cmd.Start()
	w.Close()
	now := metav1.Now()
	id := "process://" + string(p.o.UID) + "-" + c.Name + "-" + strconv.Itoa(int(k.st.RestartCount))
	if err == nil {
		k.cmd, k.done = cmd, false
		t := true
		k.st.State = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}}
		k.st.Ready, k.st.Started, k.st.ContainerID = !probed(c), &t, id
	}
	p.Unlock()
	over := make(chan struct{})
	defer close(over)
	if err == nil && probed(c) {
		go p.probe(c, k, over)
	}
	p.push()
	code := 127
	if err == nil {
		s := bufio.NewReader(r)
		for {
			l, e := s.ReadBytes('\n')
			if len(l) > 0 {
				fmt.Fprintf(out, "%s %s", time.Now().UTC().Format(time.RFC3339Nano), l)
			}
			if e != nil {
				break
			}
		}
		_ = cmd.Wait()
		code = cmd.ProcessState.ExitCode()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
	} else {
		fmt.Fprintf(out, "%s process-kubelet: %v\n", time.Now().UTC().Format(time.RFC3339Nano), err)
	}
	r.Close()
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	p.Lock()
	k.done, k.st.Ready = true, false
	fl := false
	k.st.Started = &fl
	k.st.State = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: int32(code), Reason: reason, StartedAt: now, FinishedAt: metav1.Now(), ContainerID: id}}
	p.Unlock()
	return code
}

func probed(c *v1.Container) bool {
	return c.ReadinessProbe != nil && c.ReadinessProbe.Exec != nil
}

// probe runs the readiness probe until the container is over.
func (p *pod) probe(c *v1.Container, k *ctr, over chan struct{}) {
	for {
		args := c.ReadinessProbe.Exec.Command
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.Dir = p.env(c), p.dir()
		ready := cmd.Run() == nil
		p.Lock()
		changed := !k.done && k.st.Ready != ready
		if changed {
			k.st.Ready = ready
		}
		p.Unlock()
		if changed {
			p.push()
		}
		select {
		case <-over:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (p *pod) loop(c *v1.Container, pol v1.RestartPolicy) int {
	for n := 0; ; n++ {
		code := p.once(c)
		select {
		case <-p.stop:
			return code
		default:
		}
		if pol == v1.RestartPolicyNever || (pol == v1.RestartPolicyOnFailure && code == 0) {
			return code
		}
		p.Lock()
		k := p.c[c.Name]
		k.st.LastTerminationState = k.st.State
		k.st.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off restarting failed container " + c.Name}}
		p.Unlock()
		p.push()
		select {
		case <-p.stop:
			return code
		case <-time.After(time.Duration(min(n+1, 4)) * 500 * time.Millisecond):
		}
		p.Lock()
		k.st.RestartCount++
		p.Unlock()
	}
}

func (p *pod) run() {
	must(os.MkdirAll(p.dir(), 0o755))
	for _, l := range [][]v1.Container{p.o.Spec.InitContainers, p.o.Spec.Containers} {
		for _, c := range l {
			p.c[c.Name] = &ctr{st: v1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: "process://none", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
		}
	}
	pol := p.o.Spec.RestartPolicy
	ipol := pol
	if ipol == v1.RestartPolicyAlways {
		ipol = v1.RestartPolicyOnFailure
	}
	for i := range p.o.Spec.InitContainers {
		if p.loop(&p.o.Spec.InitContainers[i], ipol) != 0 {
			p.set(v1.PodFailed)
			return
		}
	}
	p.Lock()
	p.phase = v1.PodRunning
	p.Unlock()
	var wg sync.WaitGroup
	bad := false
	for i := range p.o.Spec.Containers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if p.loop(&p.o.Spec.Containers[i], pol) != 0 {
				p.Lock()
				bad = true
				p.Unlock()
			}
			p.push()
		}()
	}
	wg.Wait()
	if bad {
		p.set(v1.PodFailed)
	} else {
		p.set(v1.PodSucceeded)
	}
}
func (p *pod) set(ph v1.PodPhase) { p.Lock(); p.phase = ph; p.Unlock(); p.push() }

var pushMu sync.Mutex

func (p *pod) push() {
	pushMu.Lock()
	defer pushMu.Unlock()
	for try := 0; try < 5; try++ {
		o, err := cs.CoreV1().Pods(p.o.Namespace).Get(context.TODO(), p.o.Name, metav1.GetOptions{})
		if err != nil || o.UID != p.o.UID {
			return
		}
		p.Lock()
		ready, ini := v1.ConditionTrue, v1.ConditionTrue
		st := v1.PodStatus{Phase: p.phase, HostIP: "127.0.0.1", PodIP: podIP, PodIPs: []v1.PodIP{{IP: podIP}}, HostIPs: []v1.HostIP{{IP: "127.0.0.1"}}, StartTime: &p.start, QOSClass: o.Status.QOSClass}
		for _, c := range p.o.Spec.InitContainers {
			st.InitContainerStatuses = append(st.InitContainerStatuses, p.c[c.Name].st)
			if t := p.c[c.Name].st.State.Terminated; t == nil || t.ExitCode != 0 {
				ini = v1.ConditionFalse
			}
		}
		for _, c := range p.o.Spec.Containers {
			st.ContainerStatuses = append(st.ContainerStatuses, p.c[c.Name].st)
			if !p.c[c.Name].st.Ready {
				ready = v1.ConditionFalse
			}
		}
		p.Unlock()
		for _, x := range []struct {
			t v1.PodConditionType
			s v1.ConditionStatus
		}{{v1.PodScheduled, v1.ConditionTrue}, {v1.PodInitialized, ini}, {v1.ContainersReady, ready}, {v1.PodReady, ready}} {
			st.Conditions = append(st.Conditions, v1.PodCondition{Type: x.t, Status: x.s, LastTransitionTime: metav1.Now()})
		}
		o.Status = st
		if _, err = cs.CoreV1().Pods(o.Namespace).UpdateStatus(context.TODO(), o, metav1.UpdateOptions{}); err == nil {
			return
		}
	}
}

func find(ns, name string) *pod {
	mu.Lock()
	defer mu.Unlock()
	for _, p := range pods {
		if p.o.Namespace == ns && p.o.Name == name {
			return p
		}
	}
	return nil
}

type streamer struct{ p *pod }

func (s streamer) ExecInContainer(ctx context.Context, _ string, _ types.UID, container string, args []string, in io.Reader, out, errOut io.WriteCloser, tty bool, _ <-chan rc.TerminalSize, _ time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.p.dir()
	for i := range s.p.o.Spec.Containers {
		if c := &s.p.o.Spec.Containers[i]; c.Name == container {
			cmd.Env = s.p.env(c)
		}
	}
	cmd.Stdout, cmd.Stderr = out, errOut
	if out == nil {
		cmd.Stdout = io.Discard
	}
	if errOut == nil {
		cmd.Stderr = cmd.Stdout
	}
	if in != nil { // own copier: Wait must not hang on a client that never closes stdin
		w, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(w, in); w.Close() }()
	}
	err := cmd.Run()
	if x, ok := err.(*exec.ExitError); ok {
		code := x.ExitCode()
		if ws := x.Sys().(syscall.WaitStatus); ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	} else if err != nil {
		return utilexec.CodeExitError{Err: err, Code: 126}
	}
	return nil
}

func (s streamer) PortForward(_ context.Context, _ string, _ types.UID, port int32, st io.ReadWriteCloser) error {
	defer st.Close()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	go func() { _, _ = io.Copy(c, st); _ = c.(*net.TCPConn).CloseWrite() }()
	_, err = io.Copy(st, c)
	return err
}

func serve(w http.ResponseWriter, r *http.Request) {
	seg := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if seg[0] == "healthz" {
		_, _ = w.Write([]byte("ok"))
		return
	}
	if len(seg) < 3 {
		http.NotFound(w, r)
		return
	}
	p := find(seg[1], seg[2])
	if p == nil {
		http.Error(w, "pod not found", 404)
		return
	}
	switch q := r.URL.Query(); seg[0] {
	case "exec":
		if o, err := remotecommand.NewOptions(r); err == nil {
			remotecommand.ServeExec(w, r, streamer{p}, seg[2], p.o.UID, seg[3], q["command"], o, 4*time.Hour, 30*time.Second, remotecommandconsts.SupportedStreamingProtocols)
		} else {
			http.Error(w, err.Error(), 400)
		}
	case "portForward":
		if o, err := portforward.NewV4Options(r); err == nil {
			portforward.ServePortForward(w, r, streamer{p}, seg[2], p.o.UID, o, 4*time.Hour, 30*time.Second, portforward.SupportedProtocols)
		} else {
			http.Error(w, err.Error(), 400)
		}
	case "containerLogs":
		logs(w, r, p, seg[3])
	default:
		http.NotFound(w, r)
	}
}

func logs(w http.ResponseWriter, r *http.Request, p *pod, c string) {
	q := r.URL.Query()
	f := filepath.Join(p.dir(), c+".log")
	if q.Get("previous") == "true" {
		f += ".prev"
	}
	b, err := os.ReadFile(f)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	ts := q.Get("timestamps") == "true"
	var since time.Time
	if s, e := strconv.Atoi(q.Get("sinceSeconds")); e == nil {
		since = time.Now().Add(-time.Duration(s) * time.Second)
	}
	if t, e := time.Parse(time.RFC3339Nano, q.Get("sinceTime")); e == nil {
		since = t
	}
	left := -1
	if n, e := strconv.Atoi(q.Get("limitBytes")); e == nil {
		left = n
	}
	put := func(l []byte) bool {
		i := bytes.IndexByte(l, ' ')
		if t, e := time.Parse(time.RFC3339Nano, string(l[:max(i, 0)])); e == nil && t.Before(since) {
			return true
		}
		if !ts {
			l = l[i+1:]
		}
		if left >= 0 && len(l) > left {
			l = l[:left]
		}
		if left >= 0 {
			left -= len(l)
		}
		_, e := w.Write(l)
		return e == nil && left != 0
	}
	off := len(b)
	for off > 0 && b[off-1] != '\n' {
		off--
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if n, e := strconv.Atoi(q.Get("tailLines")); e == nil && n < len(lines) {
		lines = lines[len(lines)-n:]
	}
	follow := q.Get("follow") == "true"
	if follow && off < len(b) {
		lines = lines[:len(lines)-1]
	}
	for _, l := range lines {
		if !put(l) {
			return
		}
	}
	fl, _ := w.(http.Flusher)
	for follow && r.Context().Err() == nil {
		p.Lock()
		done := p.c[c].done
		p.Unlock()
		if fl != nil {
			fl.Flush()
		}
		b, _ = os.ReadFile(f)
		for off < len(b) {
			i := bytes.IndexByte(b[off:], '\n')
			if i < 0 {
				break
			}
			if !put(b[off : off+i+1]) {
				return
			}
			off += i + 1
		}
		if done {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
