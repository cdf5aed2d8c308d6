// stream.cpp: streams and events. Work is queued, and runs when something waits for it or asks about it; only the stream
// asked about and what it waits for run, so that a missing wait between streams shows.
#include <time.h>

#include <algorithm>

#include "core.h"

Table<Stream, 1> streams;
Table<Event, 2> events;

static const size_t longest_queue = 4096;  // so that a program that never waits does not fill the memory

static Stream* legacy(CUcontext context) {
	static std::map<CUcontext, std::unique_ptr<Stream>> all;
	auto& s = all[context];
	if (!s) s.reset(new Stream{context, 0, {}, 0, false, {}, {}});
	return s.get();
}

// by_context flushes the streams that the legacy stream waits for.
static void flush_blocking(CUcontext context) {
	streams.each([&](Stream& s) {
		if (s.context == context && !(s.flags & 1)) flush(&s);
	});
}

Stream* stream_of(const char* call, CUstream handle) {
	if (!handle) return legacy(current);
	Stream* s = streams.find(handle);
	if (!s) complain(call, INVALID_HANDLE, "%p is no live stream", (void*)handle);
	else if (s->context != current) complain(call, INVALID_HANDLE, "the stream belongs to another context than the current one"), s = nullptr;
	return s;
}

static void push(Stream* stream, Stream::Item item) {
	if (stream->head && stream->head == stream->queue.size()) {
		stream->queue.clear();
		stream->head = 0;
	}
	stream->queue.push_back(std::move(item));
	if (settings.eager || stream->queue.size() - stream->head > longest_queue) flush(stream);
}

int submit(const char* call, Stream* stream, WorkPtr work) {
	if (stream->capture) return record_in_capture(call, stream, std::move(work));
	if (settings.counting) return OK;
	const bool is_legacy = stream == legacy(stream->context);
	if (is_legacy) {
		bool capturing = false;
		streams.each([&](Stream& s) { capturing |= s.capture && !(s.flags & 1); });
		if (capturing) return complain(call, CAPTURE_IMPLICIT, "the legacy stream is used while a blocking stream captures");
		flush_blocking(stream->context);
	}
	push(stream, {std::move(work), {}, {}});
	if (is_legacy) flush(stream);
	return sticky;
}

static int64_t now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void flush(Stream* stream, const Record* until) {
	if (stream->running) return;  // work that asks about its own stream
	stream->running = true;
	while (stream->head < stream->queue.size() && !(until && until->done)) {
		Stream::Item item = std::move(stream->queue[stream->head++]);
		if (item.wait && !item.wait->done) flush(item.wait->stream, item.wait.get());
		if (sticky) break;
		if (item.work) item.work->run();
		if (sticky) break;
		if (item.record) {
			item.record->done = true;
			item.record->nanoseconds = now();
		}
		if (stream->head > 1024) {
			stream->queue.erase(stream->queue.begin(), stream->queue.begin() + stream->head);
			stream->head = 0;
		}
	}
	if (sticky || !stream->pending()) {
		stream->queue.clear();
		stream->head = 0;
	}
	stream->running = false;
}

void flush_all() {
	std::vector<Stream*> all;
	streams.each([&](Stream& s) { all.push_back(&s); });
	for (Stream* s : all) flush(s);
}

void drop_all() {
	streams.each([](Stream& s) {
		for (size_t i = s.head; i < s.queue.size(); i++)
			if (s.queue[i].record) s.queue[i].record->done = true;
		if (s.running) return;  // flush clears it
		s.queue.clear();
		s.head = 0;
	});
}

API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
	ENTER();
	NEED_CONTEXT();
	if (least) *least = 0;
	if (greatest) *greatest = -5;
	return OK;
}

API cuStreamCreateWithPriority(CUstream* out, unsigned flags, int) {
	ENTER();
	NEED_CONTEXT();
	NEED(out && flags <= 1, INVALID_VALUE, "flags %u", flags);
	*out = (CUstream)streams.add(std::unique_ptr<Stream>(new Stream{current, flags, {}, 0, false, {}, {}}));
	return OK;
}

API cuStreamCreate(CUstream* out, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(out && flags <= 1, INVALID_VALUE, "flags %u", flags);
	*out = (CUstream)streams.add(std::unique_ptr<Stream>(new Stream{current, flags, {}, 0, false, {}, {}}));
	return OK;
}

API cuStreamDestroy_v2(CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	NEED(handle, INVALID_HANDLE, "the legacy stream");
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	if (s->capture) spoil(s->capture.get());
	flush(s);
	streams.remove(handle);
	return sticky;
}

API cuStreamSynchronize(CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	if (s->capture) {
		spoil(s->capture.get());
		return complain(__func__, CAPTURE_UNSUPPORTED, "the stream captures");
	}
	if (int code = unsafe_in_capture(__func__)) return code;
	counts.syncs++;
	flush(s);
	return sticky;
}

// A query finds pending work unfinished once, so that callers meet both answers.
API cuStreamQuery(CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	if (s->capture) {
		spoil(s->capture.get());
		return complain(__func__, CAPTURE_UNSUPPORTED, "the stream captures");
	}
	if (int code = unsafe_in_capture(__func__)) return code;
	if (!s->pending()) return OK;
	flush(s);
	return sticky ? sticky : NOT_READY;
}

API cuCtxSynchronize() {
	ENTER();
	NEED_CONTEXT();
	bool capturing = false;
	streams.each([&](Stream& s) {
		if (s.context == current && s.capture) {
			capturing = true;
			spoil(s.capture.get());
		}
	});
	NEED(!capturing, CAPTURE_UNSUPPORTED, "a stream of the context captures");
	counts.syncs++;
	flush_all();
	if (!sticky && !check_canaries(__func__)) lose(ILLEGAL_ADDRESS);
	return sticky;
}

API cuStreamWaitEvent(CUstream handle, CUevent event, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(flags == 0, INVALID_VALUE, "flags %u", flags);
	Stream* s = stream_of(__func__, handle);
	Event* e = events.find(event);
	if (!s) return INVALID_HANDLE;
	NEED(e, INVALID_HANDLE, "%p is no live event", (void*)event);
	if (s->capture || e->captured) return wait_in_capture(__func__, s, e);
	if (e->record && !e->record->done && !settings.counting) push(s, {{}, e->record, {}});
	return sticky;
}

API cuEventCreate(CUevent* out, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(out && flags <= 3, INVALID_VALUE, "flags %u", flags);
	*out = (CUevent)events.add(std::unique_ptr<Event>(new Event{current, !(flags & 2), {}, {}, false, {}}));
	return OK;
}

API cuEventDestroy_v2(CUevent event) {
	ENTER();
	NEED_CONTEXT();
	NEED(events.remove(event), INVALID_HANDLE, "%p is no live event", (void*)event);
	return OK;
}

static int record(const char* call, CUevent event, CUstream handle) {
	Stream* s = stream_of(call, handle);
	Event* e = events.find(event);
	if (!s) return INVALID_HANDLE;
	if (!e) return complain(call, INVALID_HANDLE, "%p is no live event", (void*)event);
	if (e->context != s->context) return complain(call, INVALID_HANDLE, "the event belongs to another context than the stream");
	e->captured = false;
	e->capture.reset();
	if (s->capture) {
		e->captured = true;
		e->capture = s->capture;
		e->nodes = s->last;
		return OK;
	}
	e->record = std::make_shared<Record>();
	e->record->stream = s;
	if (!s->pending()) {
		e->record->done = true;
		e->record->nanoseconds = now();
		return sticky;
	}
	push(s, {{}, {}, e->record});
	return sticky;
}

API cuEventRecord(CUevent event, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	return record(__func__, event, handle);
}
API cuEventRecordWithFlags(CUevent event, CUstream handle, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(flags == 0, INVALID_VALUE, "flags %u", flags);
	return record(__func__, event, handle);
}

API cuEventQuery(CUevent event) {
	ENTER();
	NEED_CONTEXT();
	Event* e = events.find(event);
	NEED(e, INVALID_HANDLE, "%p is no live event", (void*)event);
	NEED(!e->captured, CAPTURED_EVENT, "the event was recorded while capturing");
	if (int code = unsafe_in_capture(__func__)) return code;
	if (!e->record || e->record->done) return OK;
	flush(e->record->stream, e->record.get());
	return sticky ? sticky : NOT_READY;
}

API cuEventSynchronize(CUevent event) {
	ENTER();
	NEED_CONTEXT();
	Event* e = events.find(event);
	NEED(e, INVALID_HANDLE, "%p is no live event", (void*)event);
	NEED(!e->captured, CAPTURED_EVENT, "the event was recorded while capturing");
	if (int code = unsafe_in_capture(__func__)) return code;
	counts.syncs++;
	if (e->record && !e->record->done) flush(e->record->stream, e->record.get());
	return sticky;
}

static int elapsed(const char* call, float* out, CUevent start, CUevent end) {
	Event *a = events.find(start), *b = events.find(end);
	if (!a || !b) return complain(call, INVALID_HANDLE, "no live event");
	if (!a->timing || !b->timing) return complain(call, INVALID_HANDLE, "an event made without timing");
	if (!a->record || !b->record) return complain(call, INVALID_HANDLE, "an event that was never recorded");
	if (!a->record->done || !b->record->done) return NOT_READY;
	*out = (b->record->nanoseconds - a->record->nanoseconds) / 1e6f;
	return OK;
}
API cuEventElapsedTime(float* out, CUevent start, CUevent end) {
	ENTER();
	NEED_CONTEXT();
	return elapsed(__func__, out, start, end);
}
API cuEventElapsedTime_v2(float* out, CUevent start, CUevent end) {
	ENTER();
	NEED_CONTEXT();
	return elapsed(__func__, out, start, end);
}

API cuLaunchHostFunc(CUstream handle, void (*fn)(void*), void* arg) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	auto work = std::make_shared<Work>();
	work->kind = Work::host;
	work->label = "host function";
	work->run = [=] { fn(arg); };
	return submit(__func__, s, work);
}
