package lambdatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The systems' own choices of ports for clients begin at 32768 (Linux) and 49152 (macOS).
const firstPort, lastPort = 10_000, 32_000

// FreeAddress returns an address of this machine that nobody listens at. No client gets it as its own port,
// so that it can be listened at again after its server was killed.
func FreeAddress(t *testing.T) string {
	t.Helper()
	var err error
	for range 100 {
		var socket net.Listener
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
		if socket, err = net.Listen("tcp", address); err == nil {
			_ = socket.Close()
			return address
		}
	}
	t.Fatalf("no free port was found: %v", err)
	return ""
}
