# A cloud that was made by hand comes under Terraform: see README.md.

terraform {
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}

provider "steppe" {}
