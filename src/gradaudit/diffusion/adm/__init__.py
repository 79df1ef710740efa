"""The ADM architecture (Dhariwal and Nichol 2021), mapped onto diffusers' U-Net."""
