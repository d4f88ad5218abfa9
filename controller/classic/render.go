package classic

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// InternalState is what the classic API knows of an instance's life.
type InternalState string

// The internal states.
const (
	StateInstalling InternalState = "INSTALLING"
	StateReady      InternalState = "READY"
	StateFailed     InternalState = "FAILED"
	StateUnknown    InternalState = "UNKNOWN" // nobody has seen its container yet
)

func internalState(p instance.Phase, a wire.Actual) InternalState {
	switch {
	case p == instance.Installing:
		return StateInstalling
	case p == instance.Failed:
		return StateFailed
	case p == instance.Ready && a != wire.ActualUnknown:
		return StateReady
	default:
		return StateUnknown
	}
}

// fragments are the parts of an instance's JSON that many instances share, made
// once for a whole list.
type fragments struct {
	nodes  map[ident.Node][]byte  // the node
	images map[ident.Image][]byte // the members from AltImages to imageData, without braces

	customer bool                             // is told less
	masks    map[ident.Image]image.Definition // of which not all of the environment is shown
}

// add renders an image, as its reader may see it.
func (f *fragments) add(i image.Image) (err error) {
	if i.Masks(f.customer) {
		if f.masks == nil {
			f.masks = map[ident.Image]image.Definition{}
		}
		f.masks[i.ID] = i.Definition
	}
	f.images[i.ID], err = imageMembers(i.Shown(f.customer))
	return err
}

// masked is an instance's environment without what its image says is not shown.
func (f fragments) masked(l instance.Listed) (json.RawMessage, error) {
	d, there := f.masks[l.Image]
	if !there || len(l.Env) == 0 {
		return l.Env, nil
	}
	var env []string
	if err := json.Unmarshal(l.Env, &env); err != nil {
		return nil, err
	}
	return marshal(d.MaskEnv(env, f.customer))
}

// imageMembers renders what an instance shows of its image.
func imageMembers(i image.Image) ([]byte, error) {
	c := i.ToClassic()
	whole, err := marshal(c)
	if err != nil {
		return nil, err
	}
	others, err := marshal(c.AltImages)
	if err != nil {
		return nil, err
	}
	b := append([]byte(`"AltImages":`), others...)
	b = appendText(append(b, `,"StopCommand":`...), c.StopCommand)
	return append(append(b, `,"imageData":`...), whole...), nil
}

// appendInstance appends one instance. ok is false, and b as it was, when its
// node or image isn't among the fragments: they can't go before their instances
// have, so it is an instance that was deleted while the list was being read.
func (f fragments) appendInstance(b []byte, l *instance.Listed) (out []byte, ok bool, err error) {
	node, hasNode := f.nodes[l.Node]
	img, hasImage := f.images[l.Image]
	if !hasNode || !hasImage {
		return b, false, nil
	}
	var ports []wire.Port
	if len(l.Ports) > 0 {
		if err := json.Unmarshal(l.Ports, &ports); err != nil {
			return b, false, err
		}
	}
	id := string(l.ID)
	b = appendText(append(b, `{"Name":`...), l.Name)
	b = appendText(append(b, `,"Id":`...), id)
	b = append(append(b, `,"Node":`...), node...)
	b = appendText(append(b, `,"User":`...), string(l.Owner))
	b = appendText(append(b, `,"InternalState":`...), string(internalState(l.Phase, l.Actual)))
	b = appendText(append(b, `,"ContainerId":`...), l.Container)
	b = appendText(append(b, `,"VolumeId":`...), id)
	b = strconv.AppendInt(append(b, `,"Memory":`...), l.MemoryMiB, 10)
	b = appendCores(append(b, `,"Cpu":`...), l.NanoCPUs)
	b = strconv.AppendInt(append(b, `,"Disk":`...), l.DiskMiB, 10)
	b = appendPorts(append(b, `,"Ports":"`...), ports)
	b = appendPrimary(append(b, `","Primary":"`...), ports)
	b = appendText(append(b, `","Image":`...), l.Reference)
	b = append(append(b, ','), img...)
	b = append(b, `,"Env":`...)
	if len(l.Env) == 0 {
		b = append(b, "[]"...)
	} else {
		b = append(b, l.Env...)
	}
	b = strconv.AppendBool(append(b, `,"suspended":`...), l.Suspended)
	return append(b, '}'), true, nil
}

// appendCores writes billionths of a core as cores.
func appendCores(b []byte, nano int64) []byte {
	return strconv.AppendFloat(b, float64(nano)/1e9, 'f', -1, 64)
}

// appendPorts writes container:host,container:host.
func appendPorts(b []byte, ports []wire.Port) []byte {
	for n, p := range ports {
		if n > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(p.Container), 10)
		b = strconv.AppendUint(append(b, ':'), uint64(p.Host), 10)
	}
	return b
}

// appendPrimary writes the primary port as the container knows it.
func appendPrimary(b []byte, ports []wire.Port) []byte {
	for _, p := range ports {
		if p.Primary {
			return strconv.AppendUint(b, uint64(p.Container), 10)
		}
	}
	return b
}

// listed gives the part of an instance that is shown.
func listed(i instance.Instance) (instance.Listed, error) {
	ports, err := json.Marshal(i.Spec.Ports)
	if err != nil {
		return instance.Listed{}, err
	}
	env := []byte("[]")
	if i.Spec.Env != nil {
		if env, err = marshal(i.Spec.Env); err != nil {
			return instance.Listed{}, err
		}
	}
	l := i.Listed()
	l.Ports, l.Env = ports, env
	return l, nil
}

// marshal is JSON without escapes for HTML, which this never becomes a part of.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

const hexDigits = "0123456789abcdef"

// appendText appends s as a JSON string; what isn't UTF-8 becomes U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for n := 0; n < len(s); {
		c := s[n]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[n:])
			if (r == utf8.RuneError && size == 1) || r == '\u2028' || r == '\u2029' {
				b = append(b, s[from:n]...)
				b = append(b, `\u`...)
				b = append(b, hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
				from = n + size
			}
			n += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			n++
			continue
		}
		b = append(b, s[from:n]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		n++
		from = n
	}
	return append(append(b, s[from:]...), '"')
}

// appendList writes a JSON array of n members that one appends.
func appendList(b []byte, n int, one func(b []byte, n int) []byte) []byte {
	b = append(b, '[')
	for k := range n {
		if k > 0 {
			b = append(b, ',')
		}
		b = one(b, k)
	}
	return append(b, ']')
}

// grow is how large a buffer for a list of n members is made: rather a little
// too large than copied while it grows.
func grow(n, each int) []byte {
	return make([]byte, 0, 64+int(math.Ceil(1.1*float64(n*each))))
}
