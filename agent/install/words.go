package install

import "slices"

// words finds many texts at once, byte by byte (Aho and Corasick): what it takes
// depends on the text that is searched, however many are looked for. Safe for
// concurrent use.
type words struct {
	nodes []wordNode
	first [256]int // the root's edges, where most of a text passes
	edges map[wordEdge]int
}

// wordNode is the beginning of a word, the root's is empty.
type wordNode struct {
	parent  int
	by      byte
	depth   int // bytes
	longest int // bytes of the longest word that ends here; 0 is none
	open    int // bytes of the longest beginning that ends here and goes on
	fail    int // the node of the longest beginning that this one ends with
}

type wordEdge struct {
	from int
	by   byte
}

func newWords(list []string) *words {
	w := &words{nodes: make([]wordNode, 1), edges: map[wordEdge]int{}}
	for _, word := range list {
		at := 0
		for _, c := range []byte(word) {
			w.nodes[at].open = w.nodes[at].depth
			to, there := w.edges[wordEdge{at, c}]
			if !there {
				to = len(w.nodes)
				w.nodes = append(w.nodes, wordNode{parent: at, by: c, depth: w.nodes[at].depth + 1})
				w.edges[wordEdge{at, c}] = to
			}
			at = to
		}
		w.nodes[at].longest = len(word)
	}
	for e, to := range w.edges {
		if e.from == 0 {
			w.first[e.by] = to
		}
	}
	w.link()
	return w
}

// link finds where each node goes on from when its own word doesn't: the shorter
// ones first, for theirs is needed.
func (w *words) link() {
	order := make([]int, len(w.nodes))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int { return w.nodes[a].depth - w.nodes[b].depth })
	for _, n := range order[1:] {
		node := &w.nodes[n]
		if node.parent != 0 {
			node.fail = w.next(w.nodes[node.parent].fail, node.by)
		}
		node.longest = max(node.longest, w.nodes[node.fail].longest)
		node.open = max(node.open, w.nodes[node.fail].open)
	}
}

// next is the node after one more byte.
func (w *words) next(at int, c byte) int {
	for at != 0 {
		if to, there := w.edges[wordEdge{at, c}]; there {
			return to
		}
		at = w.nodes[at].fail
	}
	return w.first[c]
}
