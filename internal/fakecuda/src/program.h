// program.h: a program of the fake NVRTC, and what compiles it.
#pragma once
#include <map>
#include <string>
#include <vector>

struct Program {
	std::string source, name;
	std::map<std::string, std::string> headers;
	std::string log, image;
	bool portable = false;  // compiled for a virtual architecture: the image counts as PTX
};

extern const int archs[12];

// compile sets the program's image or log and returns an nvrtcResult.
int compile(Program& program, const std::vector<std::string>& options);

// precompile fills the cache with programs that have the same headers, many to a run of the compiler. A group that does
// not compile is left to compile, which will say why.
int precompile(const std::vector<Program>& programs, const std::vector<std::string>& options);

enum {
	SUCCESS = 0,
	PROGRAM_CREATION_FAILURE = 2,
	INVALID_INPUT = 3,
	INVALID_PROGRAM = 4,
	INVALID_OPTION = 5,
	COMPILATION = 6,
};
