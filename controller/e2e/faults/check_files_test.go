package faults

import "sort"

// volumes: what was written is there, on the instance's node and nowhere else.
func (c *checker) volumes() {
	for _, n := range c.Nodes {
		var ids []string
		for id := range n.Volumes {
			ids = append(ids, id)
		}
		sort.Strings(ids)
		for _, id := range ids {
			if i, there := c.byID[id]; !there {
				c.add("volume", "%s has the volume of %s, which is not there", n.Name, id)
			} else if i.NodeID != n.ID {
				c.add("volume", "%s has a volume of %s, which is on another node", n.Name, i)
			}
		}
	}
	for _, e := range c.Ledger {
		i, there := c.byID[e.ID]
		if e.Life != living || !there || e.Counted == 0 {
			continue
		}
		for _, n := range c.Nodes {
			if n.ID != i.NodeID {
				continue
			}
			f, kept := n.Volumes[e.ID]
			switch {
			case !kept:
				c.add("files", "%s counted to %d and has no volume on %s", i, e.Counted, n.Name)
			case f.Error != "" || f.Mark != e.Mark || f.Count < e.Counted || f.Count > e.Counted+e.Uncertain:
				c.add("files", "%s on %s counted to %d (and %d uncertain) with mark %q, and its volume has %+v", i, n.Name, e.Counted, e.Uncertain, e.Mark, f)
			}
		}
	}
}

// load: what a node is said to have given away is what its instances have.
func (c *checker) load() {
	for _, n := range c.Nodes {
		sum := int64(0)
		for _, i := range c.Instances {
			if i.NodeID == n.ID {
				sum += i.Memory
			}
		}
		if n.MemoryUsed != sum {
			c.add("load", "node %s is said to have given away %d MiB, and its instances have %d", n.Name, n.MemoryUsed, sum)
		}
	}
}
