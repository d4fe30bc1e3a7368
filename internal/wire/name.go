package wire

// MaxNameLength is the most bytes that the name of a topic or a channel may
// have, its suffix included.
const MaxNameLength = 64

// ephemeralSuffix ends the name of a topic or channel that goes with its last
// subscriber.
const ephemeralSuffix = "#ephemeral"

// nameByte tells the bytes that a name is made of.
var nameByte = func() (t [256]bool) {
	const allowed = ".-_" + "abcdefghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "0123456789"
	for i := range len(allowed) {
		t[allowed[i]] = true
	}
	return t
}()

// ValidName reports whether name may be the name of a topic or a channel: 1 to
// 64 bytes of letters, digits, '.', '_' and '-', of which the last ten may be
// "#ephemeral", though not all.
func ValidName[T ~string | ~[]byte](name T) bool {
	n := len(name)
	if n == 0 || n > MaxNameLength {
		return false
	}
	if Ephemeral(name) {
		n -= len(ephemeralSuffix)
	}
	for i := 0; i < n; i++ {
		if !nameByte[name[i]] {
			return false
		}
	}
	return n > 0
}

// Ephemeral reports whether name ends in "#ephemeral". Only the exact suffix
// counts.
func Ephemeral[T ~string | ~[]byte](name T) bool {
	start := len(name) - len(ephemeralSuffix)
	if start < 0 {
		return false
	}
	// Byte by byte: a conversion to string would allocate when T is []byte.
	for i := range len(ephemeralSuffix) {
		if name[start+i] != ephemeralSuffix[i] {
			return false
		}
	}
	return true
}
