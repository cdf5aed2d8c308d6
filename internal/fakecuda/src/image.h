// image.h: what the fake NVRTC makes for a cubin: text that names a host library. It starts as an ELF file does, ends with
// "end\n" and a 0, and carries the ABI of the shim that the library was compiled for.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#define IMAGE_MAGIC "\x7f" "ELF of fakecuda\n"

struct Image {
	std::string abi, path, name;
	std::string suffix;     // of the names of its kernels in the library
	int arch = 0;           // as 90
	bool portable = false;  // in the place of PTX: for arch and later

	std::string text() const {
		return IMAGE_MAGIC "abi " + abi + "\narch " + std::to_string(arch) + (portable ? "\nportable 1" : "") + "\nsuffix " + suffix + "\npath " + path + "\nname " + name + "\nend\n" + std::string(1, '\0');
	}
	// parse reads an image whose size is not known; false if it is none.
	bool parse(const char* p) {
		if (strncmp(p, IMAGE_MAGIC, strlen(IMAGE_MAGIC))) return false;
		p += strlen(IMAGE_MAGIC);
		while (strncmp(p, "end\n", 4)) {
			const char* space = strpbrk(p, " \n");
			const char* line = space && *space == ' ' ? strchr(space, '\n') : nullptr;
			if (!line) return false;
			std::string key(p, space), value(space + 1, line);
			if (key == "abi") abi = value;
			else if (key == "arch") arch = atoi(value.c_str());
			else if (key == "portable") portable = true;
			else if (key == "suffix") suffix = value;
			else if (key == "path") path = value;
			else if (key == "name") name = value;
			else return false;
			p = line + 1;
		}
		return !path.empty();
	}
};

// hash is FNV-1a in 128 bits, in hexadecimal.
inline std::string hash(const std::string& s) {
	unsigned __int128 h = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
	const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;
	for (unsigned char c : s) h = (h ^ c) * prime;
	char text[33];
	snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)(h >> 64), (unsigned long long)h);
	return text;
}
