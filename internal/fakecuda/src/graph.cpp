// graph.cpp: stream capture and graphs. A captured stream keeps the nodes that its next node depends on; waiting for an
// event recorded in a capture draws the waiting stream into it. A graph runs its nodes in an order drawn at random among
// those that its edges allow.
#include <algorithm>
#include <cstdio>

#include "core.h"

struct Node {
	WorkPtr work;
	std::vector<int> after;
};
struct Capture {
	Stream* origin;
	int mode;
	const void* thread;  // of BeginCapture
	bool spoilt = false;
	std::vector<Node> nodes;
	std::vector<Stream*> members;
};
struct Graph {
	std::vector<Node> nodes;
};
struct Exec {
	CUcontext context;
	std::vector<Node> nodes;
	int64_t kernels = 0;
	bool uploaded = false;
};
static Table<Graph, 3> graphs;
static Table<Exec, 4> execs;
static std::vector<Capture*> ongoing;
static thread_local int thread_mode;  // 0 global, 1 thread local, 2 relaxed
static thread_local char thread_mark;

int64_t live_graphs() { return graphs.live + execs.live; }

void spoil(Capture* capture) { capture->spoilt = true; }

int unsafe_in_capture(const char* call) {
	if (ongoing.empty() || thread_mode == 2) return OK;
	int code = OK;
	for (Capture* c : ongoing) {
		const bool mine = c->thread == &thread_mark;
		if ((mine && c->mode != 2) || (!mine && c->mode == 0 && thread_mode == 0)) {
			spoil(c);
			code = CAPTURE_UNSUPPORTED;
		}
	}
	return code ? complain(call, code, "not permitted while a stream captures") : OK;
}

int record_in_capture(const char* call, Stream* stream, WorkPtr work) {
	Capture* c = stream->capture.get();
	if (c->spoilt) return complain(call, CAPTURE_INVALIDATED, "the capture was invalidated by an earlier error");
	c->nodes.push_back({std::move(work), stream->last});
	stream->last.assign(1, (int)c->nodes.size() - 1);
	return OK;
}

int wait_in_capture(const char* call, Stream* stream, Event* event) {
	if (!event->captured) {
		spoil(stream->capture.get());
		return complain(call, CAPTURE_ISOLATION, "the stream captures, but the event was recorded outside the capture");
	}
	std::shared_ptr<Capture> c = event->capture.lock();
	if (!c) return complain(call, INVALID_VALUE, "the event was recorded in a capture that has ended");
	if (c->spoilt) return complain(call, CAPTURE_INVALIDATED, "the capture was invalidated by an earlier error");
	if (stream->capture && stream->capture != c) {
		spoil(c.get());
		spoil(stream->capture.get());
		return complain(call, CAPTURE_MERGE, "the event belongs to another capture");
	}
	if (!stream->capture) {
		if (!stream->context) return INVALID_HANDLE;
		stream->capture = c;
		stream->last.clear();
		c->members.push_back(stream);
	}
	for (int n : event->nodes)
		if (std::find(stream->last.begin(), stream->last.end(), n) == stream->last.end()) stream->last.push_back(n);
	return OK;
}

API cuThreadExchangeStreamCaptureMode(int* mode) {
	ENTER();
	NEED(mode && *mode >= 0 && *mode <= 2, INVALID_VALUE, "no such mode");
	std::swap(*mode, thread_mode);
	return OK;
}

API cuStreamBeginCapture_v2(CUstream handle, int mode) {
	ENTER();
	NEED_CONTEXT();
	NEED(handle, CAPTURE_UNSUPPORTED, "the legacy stream cannot capture");
	NEED(mode >= 0 && mode <= 2, INVALID_VALUE, "mode %d", mode);
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(!s->capture, ILLEGAL_STATE, "the stream captures already");
	s->capture = std::make_shared<Capture>();
	s->capture->origin = s;
	s->capture->mode = mode;
	s->capture->thread = &thread_mark;
	s->capture->members.push_back(s);
	s->last.clear();
	ongoing.push_back(s->capture.get());
	return OK;
}

API cuStreamEndCapture(CUstream handle, CUgraph* out) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(s->capture, ILLEGAL_STATE, "the stream does not capture");
	NEED(s->capture->origin == s, CAPTURE_UNMATCHED, "the capture was not begun in this stream");
	if (out) *out = nullptr;
	std::shared_ptr<Capture> c = s->capture;
	NEED(c->mode == 2 || c->thread == &thread_mark, CAPTURE_WRONG_THREAD, "the capture was begun by another thread");
	// Every member's work must be behind the origin's last node.
	std::vector<char> joined(c->nodes.size(), 0);
	std::vector<int> todo = s->last;
	while (!todo.empty()) {
		int n = todo.back();
		todo.pop_back();
		if (joined[n]) continue;
		joined[n] = 1;
		todo.insert(todo.end(), c->nodes[n].after.begin(), c->nodes[n].after.end());
	}
	bool unjoined = false;
	for (Stream* m : c->members) {
		for (int n : m->last) unjoined |= !joined[n];
		m->capture.reset();
		m->last.clear();
	}
	ongoing.erase(std::find(ongoing.begin(), ongoing.end(), c.get()));
	NEED(!c->spoilt, CAPTURE_INVALIDATED, "the capture was invalidated by an earlier error");
	NEED(!unjoined, CAPTURE_UNJOINED, "a stream drawn into the capture was not joined to the first");
	NEED(out, INVALID_VALUE, "no place for the result");
	auto graph = std::make_unique<Graph>();
	graph->nodes = std::move(c->nodes);
	*out = (CUgraph)graphs.add(std::move(graph));
	return OK;
}

API cuStreamIsCapturing(CUstream handle, int* status) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	*status = !s->capture ? 0 : s->capture->spoilt ? 2 : 1;
	return OK;
}

API cuStreamGetCaptureInfo_v2(CUstream handle, int* status, uint64_t* id, CUgraph* graph, const void*** nodes, size_t* count) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	*status = !s->capture ? 0 : s->capture->spoilt ? 2 : 1;
	if (id) *id = (uint64_t)s->capture.get();
	if (graph) *graph = nullptr;
	if (nodes) *nodes = nullptr;
	if (count) *count = 0;
	return OK;
}

API cuGraphGetNodes(CUgraph handle, void** nodes, size_t* count) {
	ENTER();
	Graph* g = graphs.find(handle);
	NEED(g && count, INVALID_VALUE, "no live graph");
	if (!nodes) {
		*count = g->nodes.size();
		return OK;
	}
	for (size_t i = 0; i < *count; i++) nodes[i] = i < g->nodes.size() ? g->nodes[i].work.get() : nullptr;
	*count = std::min(*count, g->nodes.size());
	return OK;
}

API cuGraphDestroy(CUgraph handle) {
	ENTER();
	NEED(graphs.remove(handle), INVALID_VALUE, "%p is no live graph", (void*)handle);
	return OK;
}

static int64_t count_kernels(const std::vector<Node>& nodes) {
	return std::count_if(nodes.begin(), nodes.end(), [](const Node& n) { return n.work->kind == Work::kernel || n.work->label == "library"; });
}

API cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph handle, uint64_t flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(out && flags < 16, INVALID_VALUE, "flags %lu", (unsigned long)flags);
	Graph* g = graphs.find(handle);
	NEED(g, INVALID_VALUE, "%p is no live graph", (void*)handle);
	std::unique_ptr<Exec> e(new Exec{current, g->nodes, count_kernels(g->nodes), false});
	*out = (CUgraphExec)execs.add(std::move(e));
	return OK;
}

API cuGraphUpload(CUgraphExec handle, CUstream stream) {
	ENTER();
	NEED_CONTEXT();
	NEED(execs.find(handle), INVALID_VALUE, "%p is no live graph", (void*)handle);
	return stream_of(__func__, stream) ? OK : INVALID_HANDLE;
}

// replay runs nodes in a random order that keeps to the edges.
static void replay(const std::vector<Node>& nodes) {
	static uint64_t random = 88172645463325252ull;
	std::vector<int> missing(nodes.size());
	std::vector<std::vector<int>> then(nodes.size());
	std::vector<int> ready;
	for (size_t i = 0; i < nodes.size(); i++) {
		missing[i] = nodes[i].after.size();
		for (int n : nodes[i].after) then[n].push_back(i);
		if (!missing[i]) ready.push_back(i);
	}
	while (!ready.empty() && !sticky) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		std::swap(ready[random % ready.size()], ready.back());
		int n = ready.back();
		ready.pop_back();
		if (nodes[n].work->run) nodes[n].work->run();
		for (int t : then[n])
			if (--missing[t] == 0) ready.push_back(t);
	}
}

API cuGraphLaunch(CUgraphExec handle, CUstream stream) {
	ENTER();
	NEED_CONTEXT();
	Exec* e = execs.find(handle);
	NEED(e, INVALID_VALUE, "%p is no live graph", (void*)handle);
	Stream* s = stream_of(__func__, stream);
	if (!s) return INVALID_HANDLE;
	counts.replayed += e->kernels;
	if (settings.counting && !s->capture) return OK;
	auto work = std::make_shared<Work>();
	work->kind = Work::empty;
	work->label = "graph";
	auto nodes = std::make_shared<std::vector<Node>>(e->nodes);
	work->run = [nodes] { replay(*nodes); };
	return submit(__func__, s, work);
}

struct UpdateResult {
	int result;  // 0 success, 1 error, 2 topology changed, 3 node type changed
	void *node, *from;
};
API cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph, UpdateResult* info) {
	ENTER();
	NEED_CONTEXT();
	Exec* e = execs.find(handle);
	Graph* g = graphs.find(graph);
	NEED(e && g, INVALID_VALUE, "no live graph");
	UpdateResult r = {0, nullptr, nullptr};
	if (e->nodes.size() != g->nodes.size()) r.result = 2;
	for (size_t i = 0; i < e->nodes.size() && !r.result; i++) {
		const Node &a = e->nodes[i], &b = g->nodes[i];
		if (a.after != b.after) r.result = 2;
		else if (a.work->kind != b.work->kind) r.result = 3;
		if (r.result) r.node = b.work.get(), r.from = a.work.get();
	}
	if (info) *info = r;
	if (r.result) return GRAPH_EXEC_UPDATE_FAILURE;
	e->nodes = g->nodes;
	return OK;
}

API cuGraphExecDestroy(CUgraphExec handle) {
	ENTER();
	NEED(execs.remove(handle), INVALID_VALUE, "%p is no live graph", (void*)handle);
	return OK;
}

API cuGraphDebugDotPrint(CUgraph handle, const char* path, unsigned) {
	ENTER();
	Graph* g = graphs.find(handle);
	NEED(g && path, INVALID_VALUE, "no live graph, or no path");
	FILE* f = fopen(path, "w");
	NEED(f, 999, "cannot write %s", path);
	fprintf(f, "digraph dot {\nsubgraph cluster_1 {\nlabel=\"graph_1\" graph[style=\"dashed\"];\n");
	for (size_t i = 0; i < g->nodes.size(); i++) fprintf(f, "\"graph_1_node_%zu\"[style=\"solid\" shape=\"rectangle\" label=\"%zu\n%s\n\"];\n", i, i, g->nodes[i].work->label.c_str());
	for (size_t i = 0; i < g->nodes.size(); i++)
		for (int n : g->nodes[i].after) fprintf(f, "\"graph_1_node_%d\" -> \"graph_1_node_%zu\";\n", n, i);
	fprintf(f, "}\n}\n");
	fclose(f);
	return OK;
}
