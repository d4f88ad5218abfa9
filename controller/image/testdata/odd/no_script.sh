#!/bin/bash
# startup of docker_images PTDL_v2
set -e
