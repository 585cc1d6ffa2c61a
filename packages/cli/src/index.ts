// The public surface of @bpfkit/cli: the command as a function, and the capture reader.

// cli.ts
export { main } from "./cli.ts";

// io.ts
export { type Io, processIo } from "./io.ts";

// pcap.ts
export { type Capture, ETHERNET, openCapture, type Packet } from "./pcap.ts";
