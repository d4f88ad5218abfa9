package file

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// pieces gives no more at a time than its luck says.
type pieces struct {
	from io.Reader
	rand *rand.Rand
}

func (p pieces) Read(b []byte) (int, error) {
	return p.from.Read(b[:1+p.rand.IntN(len(b))])
}

func noisy(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// A source that pauses holds nothing back, be what it gave a byte or many: the
// bubble has nobody left who goes on else.
func TestARelayGivesWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, give := io.Pipe()
		r := newRelay(-1)
		var got bytes.Buffer
		go func() { _ = r.fill(source) }()
		over := make(chan error)
		go func() {
			_, err := r.WriteTo(&got)
			over <- err
		}()
		want := 0
		for _, n := range []int{1, 8 << 10, 16 << 10, 100 << 10, relayPiece + 1, 2*relayRoom + 5, 7} {
			if _, err := give.Write(noisy(n)); err != nil {
				t.Fatal(err)
			}
			want += n
			synctest.Wait()
			if got.Len() != want {
				t.Fatalf("%d of %d bytes were passed on", got.Len(), want)
			}
		}
		_ = give.Close()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// All comes in its order, whatever the pieces are that it is put in and taken in.
func TestARelayGivesItAll(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 3
	want := noisy(size)
	for name, empty := range map[string]func(*relay) ([]byte, error){
		"read": func(r *relay) ([]byte, error) {
			return io.ReadAll(pieces{struct{ io.Reader }{r}, rand.New(rand.NewPCG(2, 2))})
		},
		"written": func(r *relay) ([]byte, error) {
			var got bytes.Buffer
			_, err := r.WriteTo(&got)
			return got.Bytes(), err
		},
	} {
		for _, room := range []int64{-1, 100_003, 1} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				want := want
				if room == 1 {
					want = want[:10_000] // each byte by itself
				}
				r := newRelay(room)
				filled := make(chan error)
				go func() { filled <- r.fill(pieces{bytes.NewReader(want), rand.New(rand.NewPCG(1, 1))}) }()
				got, err := empty(r)
				if !bytes.Equal(got, want) || err != nil {
					t.Errorf("%d bytes came, %v", len(got), err)
				}
				if err := <-filled; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A source's failure comes behind what it gave; and a relay holds no more than its
// room, which nobody gets any more once it is closed.
func TestARelayEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(-1)
		if err := r.fill(io.MultiReader(bytes.NewReader(noisy(1000)), failing{broken})); !errors.Is(err, broken) {
			t.Errorf("it was filled, %v", err)
		}
		if got, err := io.ReadAll(struct{ io.Reader }{r}); len(got) != 1000 || !errors.Is(err, broken) {
			t.Errorf("%d bytes, then %v", len(got), err)
		}
		r = newRelay(-1)
		source := bytes.NewReader(noisy(3 * relayRoom))
		filled := make(chan error)
		go func() { filled <- r.fill(source) }()
		synctest.Wait()
		if taken := 3*relayRoom - source.Len(); taken != relayRoom {
			t.Errorf("%d bytes were taken of a source that nobody reads", taken)
		}
		_, _ = r.Close(), r.Close()
		if err := <-filled; !errors.Is(err, errRelayClosed) {
			t.Errorf("it was filled, %v", err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errRelayClosed) {
			t.Errorf("%d bytes of a closed one, %v", n, err)
		}
	})
}

type failing struct{ with error }

func (f failing) Read([]byte) (int, error) { return 0, f.with }
