"""One VM in a cloud that is already there, found by the names of its parts.

pip install steppe_cdktf-*.whl
python main.py && cd cdktf.out/stacks/one-vm && terraform init && terraform apply
"""

from pathlib import Path

from cdktf import App, TerraformOutput, TerraformStack
from steppe_cdktf import SteppeProvider, VirtualMachine
from steppe_cdktf.data_sources import DataImage, DataInstanceOffering, DataNetwork

app = App()
stack = TerraformStack(app, "one-vm")
SteppeProvider(stack, "steppe")
vm = VirtualMachine(
    stack,
    "web",
    image=DataImage(stack, "image", name="guest"),
    offering=DataInstanceOffering(stack, "offering", name="small"),
    network=DataNetwork(stack, "network", name="flat"),
    user_data=Path(__file__).with_name("user-data.sh"),
)
TerraformOutput(stack, "ip", value=vm.ip)
app.synth()
