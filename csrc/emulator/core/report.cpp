// Text forms of results: report JSON and the Chrome trace.
#include <cmath>

#include "core/machine.h"

namespace emulator {

static std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += format_text("\\u%04x", c);
        } else {
            out += c;
        }
    }
    return out + "\"";
}

std::string Report::json() const {
    std::string out = "{";
    out += "\"kernel\": " + quoted(kernel) + ", \"error\": " + quoted(error);
    out += ", \"soc\": " + quoted(soc) + format_text(", \"blocks\": %d", blocks);
    out += format_text(", \"time_ns\": %.3f", timing.total_ns);
    out += ", \"busy_ns\": {";
    bool first = true;
    for (int p = 0; p < kPipes; ++p) {
        if (p == PIPE_ALL) continue;
        out += format_text("%s\"%s\": %.3f", first ? "" : ", ", pipe_name(p), timing.busy_ns[p]);
        first = false;
    }
    out += "}, \"instructions\": {";
    first = true;
    for (int p = 0; p < kPipes; ++p) {
        if (p == PIPE_ALL) continue;
        out += format_text("%s\"%s\": %llu", first ? "" : ", ", pipe_name(p),
                           static_cast<unsigned long long>(instructions[p]));
        first = false;
    }
    out += "}, \"bytes\": {";
    first = true;
    for (int from = 0; from < kBuffers; ++from) {
        for (int to = 0; to < kBuffers; ++to) {
            if (bytes[from][to] == 0) continue;
            out += format_text("%s\"%s->%s\": %llu", first ? "" : ", ",
                               buffer_name(static_cast<Buffer>(from)),
                               buffer_name(static_cast<Buffer>(to)),
                               static_cast<unsigned long long>(bytes[from][to]));
            first = false;
        }
    }
    out += format_text("}, \"hbm_read_bytes\": %llu, \"hbm_write_bytes\": %llu}",
                       static_cast<unsigned long long>(hbm_read),
                       static_cast<unsigned long long>(hbm_write));
    return out;
}

std::string Report::sync_json() const {
    std::string out = "[";
    for (const SyncSite& place : sync_sites) {
        out += (out.size() > 1 ? ", " : "") +
               format_text("{\"kind\": \"%s\", \"file\": ", place.kind) + quoted(place.site.file) +
               format_text(", \"line\": %u, \"count\": %llu}", place.site.line,
                           static_cast<unsigned long long>(place.count));
    }
    return out + "]";
}

std::string chrome_trace(const LaunchTrace& trace) {
    std::string out = "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [";
    bool first = true;
    const auto add = [&](const std::string& text) {
        out += (first ? "\n" : ",\n") + text;
        first = false;
    };
    for (size_t c = 0; c < trace.cores.size(); ++c) {
        const CoreTrace& core = trace.cores[c];
        const std::string name = core.is_cube
                                     ? format_text("AIC block %d", core.block)
                                     : format_text("AIV block %d.%d", core.block, core.sub);
        add(
            format_text("{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %zu, \"args\": "
                        "{\"name\": \"%s\"}}",
                        c, name.c_str()));
        for (int p = 0; p < kPipes; ++p) {
            if (p == PIPE_ALL) continue;
            add(
                format_text("{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %zu, \"tid\": %d, "
                            "\"args\": {\"name\": \"%s\"}}",
                            c, p, pipe_name(p)));
        }
        for (size_t e = 0; e < core.events.size(); ++e) {
            const Event& event = core.events[e];
            if (event.kind == EventKind::SetFlag || event.kind == EventKind::CrossSet) continue;
            if (!std::isfinite(core.end[e])) continue;
            const bool waits = event.kind != EventKind::Instruction;
            if (waits && core.end[e] <= core.start[e]) continue;
            const SiteEntry& site = trace.sites[event.site];
            const int pipe = event.kind == EventKind::WaitFlag ? event.other : event.pipe;
            add(format_text(
                "{\"ph\": \"X\", \"name\": %s, \"cat\": \"%s\", \"pid\": %zu, \"tid\": "
                "%d, \"ts\": %.6f, \"dur\": %.6f, \"args\": {\"at\": %s}}",
                quoted(site.name).c_str(), waits ? "wait" : "work", c,
                pipe == PIPE_ALL ? PIPE_S : pipe, core.start[e] / 1000,
                (core.end[e] - core.start[e]) / 1000, quoted(site.site.text()).c_str()));
        }
    }
    return out + "\n]}\n";
}

}  // namespace emulator
