// What call_test.go calls. It is built by gcc when the tests run.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

void nothing(void) {}
int64_t add3(int64_t a, int64_t b, int64_t c) { return a + b + c; }
int launch(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *s,
	void **params, void **extra) {
	return gx + gy + gz + bx + by + bz + shared + (f != 0) + (s != 0) + (params != 0) + (extra != 0);
}

// loop calls a function as often as it is told: what a call costs in C.
void loop(int64_t (*f)(int64_t, int64_t, int64_t), uint64_t n) {
	int64_t (*volatile g)(int64_t, int64_t, int64_t) = f;
	for (uint64_t i = 0; i < n; i++) g(1, 2, 3);
}

int32_t minus_five(void) { return -5; }
uint64_t large(void) { return 0xfedcba9876543210; }
int64_t widths(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h) {
	return a == -1 && b == 255 && c == -2 && d == 65534 && e == -3 && f == 4294967293u && g == -4 && h == 18446744073709551612u;
}
double kept;
int mixed(int a, double x, void *p, float y, int64_t b) {
	kept = a + x + y + b;
	return p == &kept;
}
void eight(double a, double b, double c, double d, double e, double f, double g, double h, double *out) {
	*out = a + 10 * b + 100 * c + 1e3 * d + 1e4 * e + 1e5 * f + 1e6 * g + 1e7 * h;
}
const char *greeting(int which) { return which ? "hello" : 0; }

// sum adds 0..n-1 in a way that takes time; a signal that harms registers shows in the result.
uint64_t sum(uint64_t n) {
	volatile uint64_t v = 0;
	double d = 0;
	for (uint64_t i = 0; i < n; i++) { v += i; d += 1; }
	return d == (double)n ? v : 0;
}

// deep uses about kib KiB of stack.
uint64_t deep(uint64_t kib) {
	volatile char page[1024];
	page[0] = kib; page[1023] = 1;
	return kib == 0 ? 0 : page[1023] + deep(kib - 1) + 0 * page[0];
}
uint64_t stack_size(void) {
	pthread_attr_t a; void *base; size_t size = 0;
	if (pthread_getattr_np(pthread_self(), &a)) return 0;
	pthread_attr_getstack(&a, &base, &size);
	pthread_attr_destroy(&a);
	return size;
}

static __thread uint64_t local;
void set_local(uint64_t v) { local = v; }
uint64_t get_local(void) { return local; }

struct node { struct node *next; uint64_t value; };
static struct node *held;
void hold(struct node *n) { held = n; }
uint64_t sum_held(void) { uint64_t v = 0; for (struct node *n = held; n; n = n->next) v += n->value++; return v; }

// late_fill waits before it writes n words.
void late_fill(uint64_t *p, uint64_t n, uint64_t value, int microseconds) {
	if (microseconds) usleep(microseconds);
	for (uint64_t i = 0; i < n; i++) p[i] = value + i;
}

// late_sum waits before it reads n words.
uint64_t late_sum(const uint64_t *p, uint64_t n, int microseconds) {
	usleep(microseconds);
	uint64_t v = 0;
	for (uint64_t i = 0; i < n; i++) v += p[i];
	return v;
}
